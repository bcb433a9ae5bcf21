"""The wire: generated messages (generate_stubs.sh) and the methods of the two services."""
