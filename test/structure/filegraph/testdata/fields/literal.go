package fields

var _ = []point{{x: 1}, {y: 2}}
