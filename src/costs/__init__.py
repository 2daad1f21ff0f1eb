"""What a method trains, and what a run costs: operations, bytes, and the time they take on a machine."""
