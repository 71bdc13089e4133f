"""The commands of kinstream, one module a group. What is heavy is imported by the command that needs it."""
