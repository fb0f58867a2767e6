# A script that changes torch: test_gpu_clean.py runs it in a process of its own.
collect_ignore = ["cases.py"]
