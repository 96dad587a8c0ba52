"""python -m review_service web | worker | migrate | seed | rebuild purchases, names | check-ratings"""

from common.cli import Service, main
from review_service.commands import check_ratings, rebuild
from review_service.config import ReviewConfig

if __name__ == "__main__":
    main(Service(package="review_service", config=ReviewConfig, commands=[rebuild, check_ratings]))
