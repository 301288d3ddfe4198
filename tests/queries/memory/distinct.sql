-- How many different long texts and codes there are.
SELECT count(DISTINCT note) AS notes, count(DISTINCT code) AS codes FROM big.visits
