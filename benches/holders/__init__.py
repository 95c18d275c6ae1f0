"""Ten thousand holders of one keeper: what a renewal costs, whether any is missed, how fast leases grow durably."""
