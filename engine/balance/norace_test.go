//go:build !race

package balance_test

const raceDetector = false
