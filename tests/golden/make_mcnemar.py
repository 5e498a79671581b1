"""Writes mcnemar.txt: the exact two-sided binomial test of SciPy for counts of disagreements.

Each line is the two counts' name and n, m, p. Run by hand with SciPy installed: python3 make_mcnemar.py > mcnemar.txt
"""
from scipy import stats

for n, m in ((1, 0), (0, 5), (3, 3), (2, 9), (7, 15), (25, 10), (40, 61), (300, 380), (1000, 2000)):
    print(f"{n}_{m}", n, m, repr(float(stats.binomtest(n, n + m, 0.5).pvalue)))
