// Bench measures what the library costs, against private servers on this machine: see bench help.
package main
