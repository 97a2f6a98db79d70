// Command memoryserver serves package memory by TCP in the place of a redis-server, for tests that compare the two. It takes
// the arguments of a redis-server that have a meaning here, and refuses the others.
package main
