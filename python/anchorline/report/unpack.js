"use strict";
// Reads what packing.py has packed; the layout is described there.

async function unpack(base64) {
  const text = atob(base64);
  const packed = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place++) packed[place] = text.charCodeAt(place);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const headerLength = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + headerLength)));
  const tables = {};
  let start = 4 + headerLength;
  for (const [name, { rows, columns }] of Object.entries(header)) {
    tables[name] = { rows };
    for (const column of columns) {
      const end = start + column.bytes;
      tables[name][column.name] = unpackColumn(column, bytes.subarray(start, end), rows);
      start = end;
    }
  }
  return tables;
}

// Numbers and days become a Float64Array with NaN for null, flags and texts an array with null.
function unpackColumn(column, bytes, rows) {
  const numbers = new Float64Array(rows);
  let row = 0;
  let number = 0;
  let factor = 1; // arithmetic, not shifts: these cut at 32 bits
  for (const byte of bytes) {
    number += (byte & 127) * factor;
    factor *= 128;
    if (byte < 128) {
      numbers[row++] = number % 2 ? -(number + 1) / 2 : number / 2;
      number = 0;
      factor = 1;
    }
  }
  for (let time = 0; time < column.order; time++) {
    for (let place = 1; place < rows; place++) numbers[place] += numbers[place - 1];
  }
  let cells = numbers;
  if (column.kind === "number") {
    const scale = 10 ** column.decimals;
    for (let place = 0; place < rows; place++) numbers[place] /= scale;
  } else if (column.kind === "text") {
    cells = Array.from(numbers, (place) => column.values[place] ?? null);
  } else if (column.kind === "flag") {
    cells = Array.from(numbers, (flag) => flag === 1);
  }
  const nothing = cells === numbers ? NaN : null;
  let place = 0;
  (column.runs ?? []).forEach((length, run) => {
    if (run % 2) cells.fill(nothing, place, place + length);
    place += length;
  });
  return cells;
}
