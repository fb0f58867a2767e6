"""Runs a solo-learn script: python -m df_heads.integrations.solo_learn main_knn.py [arguments]."""

from df_heads.integrations.solo_learn import register
from df_heads.integrations.solo_learn.launcher import run_script

if __name__ == "__main__":
    register()
    run_script()
