"""Inside the container: a supervisor that owns the journal, and the cell in its child."""
