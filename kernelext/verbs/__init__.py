"""What a user can ask for, the same in a notebook and on a console."""
