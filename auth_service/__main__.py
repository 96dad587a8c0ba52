"""python -m auth_service web | worker | provision | migrate | seed | dead-letters | rotate-keys"""

from auth_service.commands import rotate_keys
from auth_service.config import AuthConfig
from common.cli import Service, main

if __name__ == "__main__":
    main(Service(package="auth_service", config=AuthConfig, commands=[rotate_keys]))
