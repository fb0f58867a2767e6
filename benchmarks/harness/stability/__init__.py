"""Where a head collapses: many short trainings in other people's recipes."""
