"""Run many (url, goal) pairs on a web-agent API: nothing lost, nothing paid twice."""
