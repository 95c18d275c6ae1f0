"""How long a change of limit takes until eight gates follow it, on this machine: `make bench-change`."""
