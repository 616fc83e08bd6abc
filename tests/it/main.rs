//! The one integration binary: the production composition root against the simulated world.
