package cluster

// ParseMap is parseMap, for tests that have a server make the answers.
var ParseMap = parseMap
