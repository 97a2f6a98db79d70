// Package address reads where Redis is: one flag with a URL, and environment variables for what must not be on a
// command line.
package address
