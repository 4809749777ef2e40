"""What `deploy/` ships, running for real. (`tests/test_deploy.py` reads it.)"""
