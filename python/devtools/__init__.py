"""What the tests and the mutation check share; no part of the package that users install."""
