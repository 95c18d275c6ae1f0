"""What a decision costs from Python, beside the limiters people use today, interleaved in one run.

`python -m benches.python` prints CPU and wall of every case, the ratios, and the targets of the design's section 10 with
reached or not; it writes `benches/results/python-DATE.json`. The peers are one small file each in `peers/`.
"""
