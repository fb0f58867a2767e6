"""Many runs: which are missing, who does which, what became of them.

May import the rooms before it: base to evaluate.
"""
