# Importing them changes torch: they are for processes of their own, not for collection.
collect_ignore = ["fake_device.py", "computing_device.py"]
