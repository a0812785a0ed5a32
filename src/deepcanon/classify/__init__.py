"""Networks that name what a picture shows: one file a paper."""
