"""Results as tables, words and pictures.

``style``     one look, names and colours;
``tables``    means with intervals, for a page or a paper;
``accuracy``  accuracy against anything, ``marks`` how a line looks;
``paired``    methods compared pair by pair, and what that claims;
``diagrams``  what trains, what the cipher does, what an embedding learned;
``privacy``   noise, accountants, audits.
"""
