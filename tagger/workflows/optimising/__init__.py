"""The parts of `optimize`: the stages and what each tries, timing of tries by turns, and what is kept between runs."""
