// Package storm has troubles strike processes (Place), their connections and the servers of a private cluster (Storm), at random, and notes when
// which struck whom (Struck), for those who judge what the processes did meanwhile.
package storm
