"""Exit codes of sysexits.h, as every program of ours uses them."""

EXIT_UNAVAILABLE = 69  # EX_UNAVAILABLE: a server that is needed stayed away
EXIT_CONFIGURATION = 78  # EX_CONFIG: a wrong setting, permission or topology
