"""Planning by energy minimisation: solvers, search spaces, short-term memory (NumPy only)."""
