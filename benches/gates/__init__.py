"""What asking the server costs a process that holds nothing itself: `headway.connect`, a round trip a demand."""
