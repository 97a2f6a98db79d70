package cluster

// ParseMap is parseMap, for tests whose answers a server makes.
var ParseMap = parseMap
