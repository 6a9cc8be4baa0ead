"""How fast anchorline is: everything measured on a demo farm, in a database of its own."""
