"""A small web shop with Headway embedded: what `make demo` runs.

`contracts/` say what is scarce; `app` is the shop, `store` its database and pool; `traffic` grows past the limits;
`count` is the shop's own record of every decision, `verdict` judges Headway by it; `person` gives what a person would
give; `workers` are processes of their own, which ask over `headway.connect`; `screen` shows, `moments` tells; `demo`
puts them together.
"""
