"""The command-line programs: one file each, holding a parser, messages and one library call."""
