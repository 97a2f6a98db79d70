// Example_monitor checks websites every minute, each of them once in the whole fleet, and tells when one is down, and up again:
//
//	REDIS_ADDR=127.0.0.1:6379 example_monitor https://example.org/ https://example.net/
package main
