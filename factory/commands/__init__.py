"""One module a group of commands: `add_parser` declares it, late imports keep start-up light."""
