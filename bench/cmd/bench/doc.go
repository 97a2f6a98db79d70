// Command bench measures what the library costs, and soaks it, on private servers or on a Redis of yours: see bench help.
package main
