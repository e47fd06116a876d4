"""Perceptual image encryption, and what it is worth.

``cipher``        a key, and the keyed permutation of pixels: encrypt, decrypt;
``key_file``      a key as a file that only its owner can read;
``transform``     normalise, enlarge and encrypt a batch on its device;
``equivariance``  the patch embedding that reads encrypted images;
``attacks``       the key from known pictures, jigsaws, statistics, a published embedding.
"""
