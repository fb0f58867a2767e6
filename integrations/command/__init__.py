"""The console command `df-heads`: its subcommands, each a module of its own."""
