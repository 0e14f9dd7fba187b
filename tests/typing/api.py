"""What type checkers must say about the public names; read by them only, never run."""
