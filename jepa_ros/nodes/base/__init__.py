"""What every node is built on: lifecycle, parameters, diagnostics, threads."""
