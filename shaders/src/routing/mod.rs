//! Plans and kernels of routing.
