"""python -m auth_service web | worker | provision | migrate | seed | dead-letters"""

from auth_service.config import AuthConfig
from common.cli import Service, main

main(Service(package="auth_service", config=AuthConfig))
