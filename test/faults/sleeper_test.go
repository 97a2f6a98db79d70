package faults

const envSleeper = "X"

func sleeper(string) error { return nil }
