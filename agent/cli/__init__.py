"""The command line: parse, call, print. A thin module per command imports what it needs when it runs."""
