"""A region of a disk that gets slow, slower, and dies: is its data away in time?"""
